"""Networks: layers as data, the Flax module, forms of convolution, compiled inference. No training, no store."""
