"""Deploy a stack set: change sets that are shown, guarded, followed, explained and resumed.

One direction: `failures`, `aws` (clients and their errors) <- `live`, `publish` <- `changeset`, `planning` <- `guard`,
`protect` <- `apply`, `follow` <- `steps` <- `deployment`. `events`, `plan`, `guard`, `statuses` and `outcome` are pure:
no client, no clock. Nothing here prints: what happens is told as the values of `messages`.
"""
