package key

// InScope reports whether a request field is part of the scope, so that a request made for a stored page must carry it. name is canonical.
func InScope(name string) bool { return isScoped(name) }
