"""Training: job, loop, batches, augmentation, distillation, optimizer, run checkpoints, calibration."""
