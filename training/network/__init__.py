"""Networks: layers as data, the Flax module, its forms of convolution, compiled inference. No training, no store."""
