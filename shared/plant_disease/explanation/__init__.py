"""Where the model looked, for which class, and how far that can be believed. See docs/explain.md.

`explainer` puts together what the other modules know one thing each of: `head` the last layer of the network, `cam`
Grad-CAM in closed form, `gradients` (needs torch) Grad-CAM and its kin at any layer, `regions` boxes around what is
hot, `overlay` and `colormaps` pictures, `faithfulness` what happens when the hot region is blurred.
"""
