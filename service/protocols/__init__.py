"""Wire formats as pure functions: request bodies to pictures, answers to response bodies."""
