"""stack.toml made live: adapters looked up, wrapped with recording, and kept healthy."""
