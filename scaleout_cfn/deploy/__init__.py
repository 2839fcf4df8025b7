"""Deploy a stack set: change sets that are shown, guarded, followed, explained and resumed.

One direction, each room and module standing on those before it: `states`, `watch.events` and `changes.plan`, which are
pure (no client, no clock) <- `messages` <- `live`, `publish`, `desired` <- `outcome` <- `services` <- `watch.follow` <-
the rest of `changes`, `protect` <- `start`, `recover`, `diagnose`, `doctor` <- `deployment`, `teardown`.
Nothing here prints: what happens is told as the values of `messages`.
"""
