"""What those who build on MovieShelf read: the OpenAPI document, the guides, the pages."""
