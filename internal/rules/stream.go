package rules

import (
	"net/http"
	"strconv"
	"strings"
)

// endless says whether the response is of a kind that may have no end, so that it can never be
// stored whole, and whose beginning is of no use to a later client. What says how long it is has an
// end, but for two kinds that never have one.
func endless(h http.Header) bool {
	for _, line := range h["Content-Type"] {
		mediaType, _, _ := strings.Cut(line, ";")
		switch mediaType = strings.ToLower(strings.Trim(mediaType, " \t")); {
		case mediaType == "text/event-stream", mediaType == "multipart/x-mixed-replace":
			return true
		case streams(mediaType) && !hasLength(h):
			return true
		}
	}
	return false
}

// IsLikelyEndless says whether a response without a Content-Type, whose body begins so, looks as if
// it had no end. net/http sends the type that the bytes look like.
func IsLikelyEndless(h http.Header, first []byte) bool {
	if _, typed := h["Content-Type"]; typed || len(first) == 0 || len(h["Content-Encoding"]) > 0 || hasLength(h) {
		return false
	}
	return streams(http.DetectContentType(first))
}

// streams says whether a media type, in lower case, is one of those in which a response is sent
// while it comes to be: sound and pictures, and texts of which each line or record is complete by
// itself.
func streams(mediaType string) bool {
	kind, subtype, _ := strings.Cut(mediaType, "/")
	switch kind {
	case "audio", "video":
		return true
	case "application", "text":
	default:
		return false
	}
	switch subtype {
	case "ogg", "stream+json":
		return true
	}
	subtype = subtype[strings.LastIndexByte(subtype, '+')+1:] // geo+json-seq (RFC 8142)
	switch strings.TrimPrefix(subtype, "x-") {
	case "json-seq", // RFC 7464
		"ndjson", "jsonl", "jsonlines", "json-lines", "jsonstream", "json-stream", "ldjson", "ld-json", "concatenated-json":
		return true
	}
	return false
}

// hasLength says whether h has a Content-Length that counts.
func hasLength(h http.Header) bool {
	lines := h["Content-Length"]
	if len(lines) != 1 {
		return false
	}
	n, err := strconv.ParseInt(lines[0], 10, 64)
	return err == nil && n >= 0
}
