// Package purge turns URLs, tags and prefixes into targets of a purge, from calls and from HTTP
// requests. If one of them is malformed, nothing is purged.
package purge

import (
	"errors"

	"github.com/edgecache-go/edgecache/internal/cache"
	"github.com/edgecache-go/edgecache/internal/directive"
)

// URLs returns the targets of a purge of these URLs. It returns an error if one is malformed.
func URLs(urls []string) ([]cache.Target, error) {
	targets := make([]cache.Target, len(urls))
	for i, u := range urls {
		var err error
		if targets[i], err = cache.URL(u); err != nil {
			return nil, err
		}
	}
	return targets, nil
}

var errEmptyTag = errors.New(`edgecache: tag is "": want at least one byte`)

// Tags returns the targets of a purge of these tags. It returns an error if one is empty.
func Tags(tags []string) ([]cache.Target, error) {
	targets := make([]cache.Target, len(tags))
	for i, t := range tags {
		if t == "" {
			return nil, errEmptyTag
		}
		targets[i] = cache.Tag(directive.GroupName(t))
	}
	return targets, nil
}

// Prefixes returns the targets of a purge of all URLs that begin with one of these. It returns an
// error if one is malformed.
func Prefixes(prefixes []string) ([]cache.Target, error) {
	targets := make([]cache.Target, len(prefixes))
	for i, p := range prefixes {
		var err error
		if targets[i], err = cache.Prefix(p); err != nil {
			return nil, err
		}
	}
	return targets, nil
}
