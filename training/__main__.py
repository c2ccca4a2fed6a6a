"""python -m training STAGE ...: one stage of the training; `all` runs every stage."""
