"""rollback and cancel: lead a stack out of a failure, and end an update that runs."""
