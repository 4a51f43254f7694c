package report

import (
	"fmt"
	"html"
	"strings"
)

// Bars is a plot of groups of horizontal bars, in SVG.
type Bars struct {
	Title  string
	Series []string // what a colour stands for
	Groups []Group
	Mark   float64 // a line across all groups, if not 0
}

// Group is one of Bars. A value that is negative is missing.
type Group struct {
	Label  string
	Values []float64 // as Bars.Series
}

// Measures of the plot, in pixels.
const (
	plotWidth = 940
	plotLeft  = 370 // where bars begin
	plotRight = 70  // room for figures behind the longest bar
	barHeight = 13
	groupGap  = 14
	plotTop   = 70
)

// Colours that can be told apart, also by those who see few of them, on light and on dark ground.
var colours = []string{"#8c8c8c", "#d1495b", "#2e86ab", "#edae49", "#5b8e7d", "#9467bd"}

// SVG returns the plot.
func (p Bars) SVG() string {
	longest := p.Mark
	height := plotTop
	for _, g := range p.Groups {
		height += groupGap
		for _, v := range g.Values {
			longest = max(longest, v)
			if v >= 0 {
				height += barHeight
			}
		}
	}
	scale := float64(plotWidth-plotLeft-plotRight) / max(longest, 1e-9)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", plotWidth, height+10)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="#ffffff"/>`+"\n")
	fmt.Fprintf(&b, `<text x="10" y="24" font-size="15" font-weight="bold">%s</text>`+"\n", html.EscapeString(p.Title))
	x := 10
	for i, s := range p.Series {
		fmt.Fprintf(&b, `<rect x="%d" y="40" width="11" height="11" fill="%s"/><text x="%d" y="50">%s</text>`+"\n", x, colours[i%len(colours)], x+15, html.EscapeString(s))
		x += 30 + 8*len(s)
	}
	if p.Mark > 0 {
		fmt.Fprintf(&b, `<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="#444444" stroke-dasharray="3 3"/>`+"\n", plotLeft+p.Mark*scale, plotLeft+p.Mark*scale, plotTop-6, height-groupGap/2)
	}
	y := plotTop
	for _, g := range p.Groups {
		bars := 0
		for i, v := range g.Values {
			if v < 0 {
				continue
			}
			fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`, plotLeft, y+bars*barHeight, v*scale, barHeight-2, colours[i%len(colours)])
			fmt.Fprintf(&b, `<text x="%.1f" y="%d" font-size="10" stroke="#ffffff" stroke-width="3" paint-order="stroke">%.2f</text>`+"\n", plotLeft+v*scale+4, y+bars*barHeight+barHeight-4, v)
			bars++
		}
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", plotLeft-8, y+bars*barHeight/2+4, html.EscapeString(g.Label))
		y += bars*barHeight + groupGap
	}
	b.WriteString("</svg>\n")
	return b.String()
}
