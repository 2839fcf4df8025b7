"""Lead a stack out of a failure: RollbackStack or ContinueUpdateRollback, and the end of an update that runs."""
