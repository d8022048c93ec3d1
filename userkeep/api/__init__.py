"""The native API as data: for each noun the types that travel and its operations, in one module.

What a client sends are the inputs of the domain itself (`NewUser`, `SessionChange` …), or types of
the noun's module. HTTP routes, the OpenAPI document and the SDK are all made from the table in
`operations`, so that they cannot drift apart.
"""
