"""Text as training data: files, tokenizers, token files, batches."""
