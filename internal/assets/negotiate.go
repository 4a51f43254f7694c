package assets

import "github.com/edgecache-go/edgecache/internal/field"

// weights are what a client thinks of each coding, in thousandths; 0 is not acceptable.
type weights [codings]int

// weightsOf reads Accept-Encoding (RFC 9110, 12.5.3).
func weightsOf(lines []string) weights {
	var w weights
	if len(lines) == 0 {
		w[identity] = 1000 // anything goes, and this suits everybody
		return w
	}
	const unsaid = -1
	star := unsaid
	for c := range w {
		w[c] = unsaid
	}
	for name, weight := range field.Weighted(lines) {
		switch name {
		case "br":
			w.say(br, weight)
		case "zstd":
			w.say(zstandard, weight)
		case "gzip", "x-gzip":
			w.say(gz, weight)
		case "identity":
			w.say(identity, weight)
		case "*":
			star = weight
		}
	}
	for c := range w {
		switch {
		case w[c] != unsaid:
		case star != unsaid:
			w[c] = star
		case coding(c) == identity:
			w[c] = 1 // acceptable unless it is excluded, but whoever names others wants those
		default:
			w[c] = 0
		}
	}
	return w
}

// say notes a weight. Of two for one coding the first counts, but a refusal always does.
func (w *weights) say(c coding, weight int) {
	if w[c] < 0 || weight == 0 {
		w[c] = weight
	}
}
