"""The offline side of digits: data, networks, training, the checkpoint store and the predictor.

Nothing in here imports `service`. Importing this package costs nothing; import the module that holds what you need.
"""
