"""DETR and CLIP in miniature: trained on the synthetic scenes, shipped with the package."""
