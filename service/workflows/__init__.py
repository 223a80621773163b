"""One study, one pipeline, three durable steps: read, write, record."""
