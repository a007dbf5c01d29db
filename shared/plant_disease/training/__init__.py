"""From folders of photos to a model bundle: recipe, augmentation, fit, calibration, export, evaluation."""
