"""The online side of digits: a FastAPI service that answers with the checkpoints that `training` publishes."""
