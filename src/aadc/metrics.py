"""The field's figures of any method's scores, in Python. Needs numpy, pydantic and rich; neither torch nor a run.

    from aadc.metrics import evaluate

    mine = evaluate({"Abuse028_x264": scores, ...}, "ucf", "vadclip")
    mine["frame"]["auc"], mine["interval"]["auc"]
    mine.against(evaluate("theirs.npz", "ucf", "vadclip"))["auc"].interval

`docs/metrics.md` defines every figure, and says what scores may look like.
"""

from aadc.eval.bootstrap import Difference
from aadc.eval.given_figures import Figures, evaluate

__all__ = ["Difference", "Figures", "evaluate"]
