"""What a deployment will do: change sets, read as plans, and what may not happen without consent."""
