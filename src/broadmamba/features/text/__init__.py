"""Text encoders: how a conversation is read, tokenised, encoded and pooled, and how an encoder is fine-tuned."""
