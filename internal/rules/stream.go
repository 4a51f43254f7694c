package rules

import (
	"net/http"
	"strconv"
	"strings"
)

// endless reports whether the response is of a kind that may have no end: it can never be stored
// whole, and its beginning is of no use to a later client. A response with a length has an end,
// except for two kinds that never have one.
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

// IsLikelyEndless reports whether a response without a Content-Type, whose body begins with first,
// looks as if it had no end. net/http sends the type that the bytes look like.
func IsLikelyEndless(h http.Header, first []byte) bool {
	if _, typed := h["Content-Type"]; typed || len(first) == 0 || len(h["Content-Encoding"]) > 0 || hasLength(h) {
		return false
	}
	return streams(http.DetectContentType(first))
}

// streams reports whether a media type, in lower case, is one that is sent while it is made: sound
// and video, and texts in which each line or record is complete by itself.
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

// hasLength reports whether h has a valid Content-Length.
func hasLength(h http.Header) bool {
	lines := h["Content-Length"]
	if len(lines) != 1 {
		return false
	}
	n, err := strconv.ParseInt(lines[0], 10, 64)
	return err == nil && n >= 0
}
