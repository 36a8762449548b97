package main

import (
	_ "embed"
	"html/template"
	"io"
)

//go:embed page.html
var pageText string

// page is what the page shows.
type page struct {
	*report
	Latencies, Rates, Histograms []chart
	Percentiles, Steps           *chart // nil for none
}

// writePage writes the report as a page that needs nothing but itself.
func (r *report) writePage(out io.Writer) error {
	parsed, err := template.New("page").Funcs(template.FuncMap{"count": count}).Parse(pageText)
	if err != nil {
		return err
	}
	return parsed.Execute(out, r.page())
}

func (r *report) page() page {
	p := page{report: r}
	for i := range r.Operations {
		row := &r.Operations[i]
		if row.Requests == 0 {
			continue
		}
		p.Latencies = append(p.Latencies, r.latencyChart(row.Operation))
		p.Rates = append(p.Rates, r.rateChart(row.Operation))
		p.Histograms = append(p.Histograms, r.histogramChart(row))
	}
	if len(p.Latencies) > 0 {
		c := r.percentileChart()
		p.Percentiles = &c
	}
	if len(r.Ramp) > 0 {
		c := r.rampChart()
		p.Steps = &c
	}
	return p
}
