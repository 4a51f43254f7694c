// Package assets serves static files: hashed URLs, rewritten stylesheets, compressed variants,
// conditions and ranges.
package assets

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgecache-go/edgecache/internal/rules"
)

// Options say how a Set serves. All fields except Log and Report may be zero.
type Options struct {
	Prefix          string // begins and ends with a slash
	Base            string // the path before Prefix in URLs, which outer handlers strip; begins with a slash and ends without, or ""
	Host            string // scheme and host of URLs; "" for the site's own
	Dev             bool
	Follow          bool // follow symbolic links: New sets it if the source confines them
	ViteManifest    string
	ESBuildMetafile string
	SPA             string                   // the page that is served for unknown URLs
	NoPage          func(*http.Request) bool // whether a URL is not the SPA's; nil if all are
	Types           Types
	MaxAge          time.Duration
	Retain          string // folder
	RetainFor       time.Duration
	MaxEncodedBytes int64
	Log             *slog.Logger
	Report          func(http.Header, *http.Request, Verdict)
}

// Verdict is how a request was served.
type Verdict struct {
	Hit    bool
	Failed bool         // an error, or a substitute for the requested file
	Reason rules.Reason // why it was not a hit
}

// Set is a tree of static files. Its methods are safe for concurrent use.
type Set struct {
	options Options
	source  *Source
	index   atomic.Pointer[index]
	worker  *worker
	retain  *retention // nil without a folder

	rebuilding sync.Mutex
	failed     time.Time       // when the index could last not be made; guarded by rebuilding
	failure    *tree           // the tree of that; guarded by rebuilding
	proofs     map[proof]error // guarded by rebuilding
	unreliable map[string]bool // outputs of build tools that changed under their names; guarded by rebuilding
	looked     atomic.Int64    // when Version last looked at all files
	reported   sync.Map
	reports    atomic.Int64
}

// New indexes the files of source. Close closes source; after an error the caller must.
func New(source *Source, options Options) (*Set, error) {
	t := source.use()
	s, err := newSet(source, t, options)
	if err != nil {
		source.release(t)
		return nil, err
	}
	return s, nil
}

func newSet(source *Source, t *tree, options Options) (*Set, error) {
	options.Follow = source.root
	s := &Set{options: options, source: source, worker: newWorker(options.MaxEncodedBytes), proofs: map[proof]error{}, unreliable: map[string]bool{}}
	ix, err := s.newIndex(t, nil)
	if err != nil {
		return nil, err
	}
	if options.SPA != "" && ix.byName[options.SPA] == nil {
		return nil, fmt.Errorf("no page %q: %w", options.SPA, fs.ErrNotExist)
	}
	s.index.Store(ix)
	if options.Retain != "" && !options.Dev {
		if s.retain, err = openRetention(options.Retain); err != nil {
			return nil, err
		}
		if err := s.retain.keep(ix, time.Now(), options.RetainFor); err != nil {
			return nil, errors.Join(err, s.retain.close())
		}
	}
	return s, nil
}

// Close waits for variants that are being made, and closes the source and the retention folder.
func (s *Set) Close() error {
	s.worker.settle()
	s.source.release(s.index.Load().tree)
	s.source.Close()
	if s.retain != nil {
		return s.retain.close()
	}
	return nil
}

// Settle waits until no variant is being made.
func (s *Set) Settle() { s.worker.settle() }

// maxReports bounds the reports that are remembered.
const maxReports = 4096

// report logs something once.
func (s *Set) report(what, message string, args ...any) {
	if s.reports.Load() >= maxReports {
		return
	}
	if _, known := s.reported.LoadOrStore(what, true); !known {
		s.reports.Add(1)
		s.options.Log.Warn(message, args...)
	}
}

// pause is how long files that cannot be read are left alone, however many requests need them.
const pause = time.Second

// renew makes the index again, unless that was done since stale was current.
func (s *Set) renew(stale *index) *index {
	s.rebuilding.Lock()
	defer s.rebuilding.Unlock()
	if ix := s.index.Load(); ix != stale {
		return ix
	}
	if !s.options.Dev && time.Since(s.failed) < pause && !s.source.replaced(s.failure, true) {
		return stale
	}
	t := s.source.use()
	ix, err := s.newIndex(t, stale)
	if err != nil {
		s.source.release(t)
		s.failed, s.failure = time.Now(), t
		s.report("renew "+err.Error(), "edgecache: static files have changed and cannot be read", "error", err.Error())
		return stale
	}
	if s.retain != nil {
		if err := s.retain.keep(ix, time.Now(), s.options.RetainFor); err != nil {
			s.report("retain "+err.Error(), "edgecache: static files cannot be retained", "error", err.Error())
		}
	}
	s.index.Store(ix)
	for name, a := range stale.byName {
		if b := ix.byName[name]; b == nil || b.state != a.state {
			s.worker.release(a)
		}
	}
	s.source.release(stale.tree)
	return ix
}

// present returns the index. It notices within a pause that another folder took the place of its
// folder, with Dev at once.
func (s *Set) present() *index {
	ix := s.index.Load()
	if s.source.replaced(ix.tree, s.options.Dev) {
		return s.renew(ix)
	}
	return ix
}

// latest returns the index, and the asset if name is one, as the file is now.
func (s *Set) latest(name string) (*index, *Asset) {
	ix := s.recent()
	if s.outdated(ix, name) {
		ix = s.renew(ix)
	}
	return ix, ix.byName[name]
}

// recent returns the index, with the latest output of build tools.
func (s *Set) recent() *index {
	ix := s.present()
	if s.options.Dev || !ix.build.current() {
		ix = s.renew(ix)
	}
	return ix
}

// URL is the URL of the file name. With a manifest, name may also be the source that it was built
// from. For an unknown file, it is where the file would be.
func (s *Set) URL(name string) string {
	name = strings.TrimLeft(name, "/") // with two, and "/" as the prefix, it would be another host's URL
	if s.options.Dev && s.options.ViteManifest == "" && s.options.ESBuildMetafile == "" {
		raw, suffix := cutSuffix(name)
		return s.at(raw) + clean(suffix)
	}
	ix, a := s.latest(name)
	suffix := ""
	if a == nil { // icons.svg#home
		if name, suffix = cutSuffix(name); suffix != "" {
			ix, a = s.latest(name)
		}
	}
	if a == nil && ix.build != nil && ix.build.entries[name] != nil {
		_, a = s.latest(ix.build.entries[name].file)
	}
	switch {
	case a == nil:
		s.report("url "+name, "edgecache: there is no such static file: want its path in the tree, without the prefix of URLs", "file", name)
		return s.at(name) + clean(suffix)
	case s.options.Dev:
		return s.at(a.Name) + clean(suffix)
	}
	return s.at(a.public()) + clean(suffix)
}

func (s *Set) at(name string) string {
	return s.options.Host + s.options.Base + s.options.Prefix + escape(name)
}

// Integrity is the value of an integrity attribute (Subresource Integrity) for a file. It is "" in
// development and for an unknown file.
func (s *Set) Integrity(name string) string {
	if s.options.Dev {
		return ""
	}
	_, a := s.latest(strings.TrimPrefix(name, "/"))
	if a == nil {
		return ""
	}
	return a.integrity()
}

// Version changes whenever a file is changed, added or removed. It is called for every page, so it
// looks only once in a pause.
func (s *Set) Version() string {
	ix := s.recent()
	now, before := time.Now().UnixNano(), s.looked.Load()
	if now-before >= int64(pause) && s.looked.CompareAndSwap(before, now) && !ix.current() {
		ix = s.renew(ix)
	}
	return ix.version
}

// File is a file that is served.
type File struct {
	Name        string // below the prefix
	URL         string
	Size        int64 // in bytes, uncompressed
	ContentType string
	Integrity   string
	Immutable   bool // the URL changes with the content
}

// Files iterates over all files, sorted by name.
func (s *Set) Files() iter.Seq[File] {
	return func(yield func(File) bool) {
		ix := s.recent()
		for _, name := range ix.names {
			a := ix.byName[name]
			f := File{Name: name, URL: s.at(a.Name), Size: a.size, ContentType: a.Type, Integrity: a.integrity()}
			if !s.options.Dev {
				f.URL, f.Immutable = s.at(a.public()), a.kind == output || a.target != "" && mapped(a.Name) == ""
			}
			if !yield(f) {
				return
			}
		}
	}
}
