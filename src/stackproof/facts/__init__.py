"""What is known of each tool, as dated and sourced data; and the loader that checks it."""
