"""What a model is made to keep to while it writes. `grammar` is the front. Nothing here knows of sampling."""
