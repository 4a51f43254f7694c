package edgecache

// TagCount is how many tags have not been collected yet.
func (e *Edge) TagCount() int {
	e.tags.mu.RLock()
	defer e.tags.mu.RUnlock()
	return len(e.tags.named)
}
