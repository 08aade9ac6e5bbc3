"""One file a path family: reads, decodes, predicts, encodes. Only here do protocols, models and feedback meet."""
