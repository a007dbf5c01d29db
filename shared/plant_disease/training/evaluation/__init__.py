"""What a bundle is worth: measured on labelled photos, through the runtime that serves it.

observe     photos -> logits and leaf probabilities
report      logits -> figures
run         folders -> an Evaluation
card        an Evaluation -> MODEL_CARD.md, with the pictures of `plots`
"""
