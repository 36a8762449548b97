package store

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/automation-infra/automation-infra/lease"
)

// wantsText is wants as the scripts read them: "2*<class>|<class>;1*<device>".
func wantsText(wants []lease.Want) string {
	var b strings.Builder
	for i, w := range wants {
		if i > 0 {
			b.WriteByte(';')
		}
		b.WriteString(strconv.Itoa(w.Count))
		b.WriteByte('*')
		b.WriteString(w.Device)
		b.WriteString(strings.Join(w.Classes, "|"))
	}
	return b.String()
}

// demandsText is demands as they are kept; the scripts don't read them.
func demandsText(demands []lease.Demand) string {
	text, err := json.Marshal(demands)
	if err != nil {
		panic(err) // strings and integers always marshal
	}
	return string(text)
}

func parseDemands(text string) (demands []lease.Demand, err error) {
	return demands, json.Unmarshal([]byte(text), &demands)
}
