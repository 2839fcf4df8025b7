"""Deploy a stack set: change sets that are shown, guarded, followed, explained and resumed.

One direction: `aws` (clients and their errors) <- `stacks`, `publish`, `changeset` <- `plan`, `guard` <- `apply`,
`follow` <- `deployment`. `events`, `guard`, `statuses` and `outcome` are pure: no client, no clock.
Nothing here prints: what happens is told as the values of `messages`.
"""
