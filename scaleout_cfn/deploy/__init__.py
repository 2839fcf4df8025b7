"""Deploy a stack set: change sets that are shown, guarded, followed, explained and resumed.

One direction, each standing on those before it: `states`, `watch.events`, `changes.stateful` and `changes.plan`, which
are pure (no client, no clock) <- `live`, `publish`, `bootstrap` <- `messages`, `desired` <- `outcome`, `ownership`,
`protect`, the rest of `changes` <- `services` <- `drift`, `watch.follow`, `diagnose`, `doctor` <- `start`,
`recover` <- `deployment`, `teardown`. Nothing here prints: what happens is told as the values of `messages`.
"""
