"""The resource types of which MiniStack knows nothing or too little, a module for each
AWS service of which more than a few lines are missing.

Where MiniStack has the service's API, a type is made through that API and is visible there. What AWS is known to refuse
is refused at the API, so that it does not matter who asks.
Where it has none, `local.STUBS` says so.
"""
