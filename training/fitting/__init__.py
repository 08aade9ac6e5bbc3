"""How weights come about: job, loop, batches, augmentation, distillation, optimizer, run checkpoints, calibration."""
