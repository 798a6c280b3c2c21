"""What the OpenAPI document says: the operations of the API, and the shapes of their answers."""
