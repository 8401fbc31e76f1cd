"""The page that shows what a quickstart found: values, pictures and templates. It reads no ledger."""
