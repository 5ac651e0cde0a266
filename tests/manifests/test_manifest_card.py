"""The class card: what is written comes back, and every fault is told."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aadc.manifests.card import Card, ClassEntry, read_card, write_card
from aadc.manifests.errors import UserError

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
names = words.filter(lambda name: name and name.isprintable() and name == name.strip() and not set(name) & set("|;:"))
prompts = words.filter(lambda prompt: "".join(filter(str.isprintable, prompt)).strip())
entries = st.builds(ClassEntry, name=names, kind=st.sampled_from(["normal", "abnormal"]), prompt=prompts)
cards = st.builds(
    Card,
    title=words,
    source=words,
    licence=words,
    videos=st.none() | words,
    classes=st.lists(entries, min_size=1, max_size=5, unique_by=lambda entry: entry.name),
)
GOOD = 'title = "t"\n[[classes]]\nname = "a"\nkind = "normal"\nprompt = "a"\n'


@settings(deadline=None)
@given(card=cards)
def test_any_card_comes_back_as_it_was_written(tmp_path_factory, card):
    """Quotes, backslashes, newlines and unprintable characters in titles and prompts included."""
    path = tmp_path_factory.mktemp("c") / "gym.toml"
    write_card(card, path)
    assert read_card(path) == card


@settings(deadline=None)
@given(text=st.text(st.sampled_from('[]="\n\\ta{}#\r'), max_size=40) | st.text(max_size=20))
def test_rubbish_is_refused_in_words(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("c") / "gym.toml"
    path.write_text(text, encoding="utf-8", newline="")
    with pytest.raises(UserError, match=r"gym\.toml: "):
        read_card(path)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (GOOD.replace("normal", "usual"), "classes 1 kind: Input should be 'normal' or 'abnormal', not 'usual'"),
        (GOOD.replace('prompt = "a"', ""), "classes 1 prompt: Field required"),
        (GOOD.replace('prompt = "a"', 'prompt = ""'), "classes 1 prompt: String should have at least 1 character"),
        (GOOD + 'color = "red"', "classes 1 color: Extra inputs are not permitted"),
        (GOOD.replace('"a"\nk', '"a|b"\nk'), "classes 1 name: 'a|b' has | in it"),
        (GOOD.replace('"a"\nk', '" a"\nk'), "' a' begins or ends with a space"),
        (GOOD + GOOD.partition("\n")[2], "classes: class named twice: a"),
        ('title = "t"', "classes: Field required"),
        ('title = "t"\nclasses = []', "classes: List should have at least 1 item"),
        ("title = t", "cannot be read (Invalid value (at line 1, column 9)); mend it"),
    ],
)
def test_faults_are_told_with_their_place(tmp_path, text, told):
    path = tmp_path / "gym.toml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        read_card(path)
    assert told in str(caught.value)
    assert str(path) in str(caught.value)


def test_all_faults_are_told_at_once(tmp_path):
    path = tmp_path / "gym.toml"
    path.write_text(GOOD.replace("normal", "usual").replace('title = "t"', "title = 3"))
    with pytest.raises(UserError, match="title: Input should be a valid string, not 3; classes 1 kind"):
        read_card(path)


def test_a_missing_card_says_what_belongs_into_it(tmp_path):
    with pytest.raises(UserError, match=r"there is no class card.*\[\[classes\]\].*name, kind.*prompt"):
        read_card(tmp_path / "gym.toml")


def test_byte_order_mark_and_crlf_are_read(tmp_path):
    path = tmp_path / "gym.toml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert read_card(path).names == ["a"]


def test_one_abnormal_label_makes_a_video_abnormal():
    kinds = {"walking": "normal", "squat": "normal", "fall": "abnormal"}
    card = Card(title="t", classes=[ClassEntry(name=n, kind=k, prompt=f"a {n}") for n, k in kinds.items()])
    assert card.names == list(kinds)
    assert card.prompts == ["a walking", "a squat", "a fall"]
    assert not card.is_abnormal(["walking", "squat"])
    assert card.is_abnormal(["walking", "fall"])
    assert not card.is_abnormal([])
    with pytest.raises(KeyError):
        card.kind("jump")
