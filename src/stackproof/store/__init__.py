"""The embedded storage engine: durable writes, content-addressed blobs, migrations. Knows nothing of ML."""
