package cache

import (
	"hash/maphash"
	"math/bits"

	"github.com/edgecache-go/edgecache/internal/generations"
	"github.com/edgecache-go/edgecache/internal/key"
)

// How many places there are in the table of generations.
const (
	urlPlaces  = 1 << 14 // of one host, and of all hosts
	pathPlaces = 1 << 14 // of one host, with every query: apart, since strangers can bump them
	tagPlaces  = 1 << 12

	firstPath  = urlPlaces
	firstTag   = firstPath + pathPlaces
	everywhere = firstTag + tagPlaces // the place of purges that concern every fetch
	places     = everywhere + 1
)

// purges keeps what was made before a purge from being stored, or joined, after it: see
// [generations.Table]. A name has one place, by its hash.
type purges struct {
	table *generations.Table
	seed  maphash.Seed
}

// Marks are the places that concern the fetches of one URL: by the host in its key, by each other host
// that a proxy tells with the request, by no host, and by its path.
type Marks struct {
	urls [2 + key.MaxHosts]uint16
	used int // of urls
	path uint16
}

func newPurges() purges { return purges{generations.New(places), maphash.MakeSeed()} }

// now is where the sequence stands: what a fetch remembers when it begins.
func (p *purges) now() uint64 { return p.table.Now() }

// add makes m one that is concerned by what bumps the given address.
func (m *Marks) add(at address) {
	m.urls[m.used] = at.url()
	m.used++
}

// url is the place of a URL. Without a host it is that of the URL on every host.
func (at address) url() uint16 { return uint16(mix(at.host, at.path, at.query) % urlPlaces) }

// everyQuery is the place of the path, with every query, counted from firstPath.
func (at address) everyQuery() uint16 { return uint16(mix(at.host, at.path, 0) % pathPlaces) }

// onEveryHost is the same URL without its host.
func (at address) onEveryHost() address { return address{path: at.path, query: at.query} }

// mix makes one hash of three.
func mix(a, b, c uint64) uint64 {
	return (a ^ bits.RotateLeft64(b*0x9e3779b97f4a7c15, 21)) + bits.RotateLeft64(c*0xbf58476d1ce4e5b9, 42)
}

// bump marks a URL as purged now; without a host, that on every host. It comes before the removal of what
// is stored: a fetch that stores in between is then removed, and one that stores afterwards sees the
// mark.
func (p *purges) bump(at address) { p.table.Bump(uint32(at.url())) }

// bumpPath marks the path of a URL on its host as purged now, with every query.
func (p *purges) bumpPath(at address) { p.table.Bump(firstPath + uint32(at.everyQuery())) }

// bumpTag marks a tag, and returns the number of the purge.
func (p *purges) bumpTag(tag string) uint64 { return p.table.Bump(p.tag(tag)) }

// bumpAll marks everything.
func (p *purges) bumpAll() { p.table.Bump(everywhere) }

// purgedSince reports whether the URL of m was, or may have been, purged after gen.
func (p *purges) purgedSince(m *Marks, gen uint64) bool {
	for _, at := range m.urls[:m.used] {
		if p.table.PurgedSince(gen, uint32(at)) {
			return true
		}
	}
	return p.table.PurgedSince(gen, firstPath+uint32(m.path)) || p.table.PurgedSince(gen, everywhere)
}

// tagsPurgedSince reports whether one of the tags was, or may have been, purged after gen.
func (p *purges) tagsPurgedSince(tags []string, gen uint64) bool {
	for _, tag := range tags {
		if p.table.PurgedSince(gen, p.tag(tag)) {
			return true
		}
	}
	return false
}

func (p *purges) tag(tag string) uint32 {
	return firstTag + uint32(maphash.String(p.seed, tag)%tagPlaces)
}
