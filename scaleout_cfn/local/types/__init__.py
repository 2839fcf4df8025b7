"""The resource types of which MiniStack knows nothing or too little, one module for each AWS service, two for ECS.

Where MiniStack has the service's API, a type is made through that API and is visible there. What AWS is known to refuse
is refused at the API, so that it does not matter who asks.
Where it has none, `limits.STUBS` says so.
"""
