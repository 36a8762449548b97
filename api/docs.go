package api

import (
	_ "embed"
	"encoding/json"
	"net/http"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"
	"github.com/swaggest/swgui/v5/static"
	"github.com/vearutop/statigz"
)

// docsPage shows the OpenAPI document. It is no template: html/template in a program makes the linker keep every exported method of
// every type, which doubles the size of the program.
//
//go:embed docs.html
var docsPage []byte

// documentation serves the OpenAPI document, and the page that shows it from the program itself, since labs have no
// internet. huma would serve the document too, but its cache of it is not safe for concurrent requests.
func documentation(engine *gin.Engine, spec *huma.OpenAPI) {
	document := sync.OnceValues(func() ([]byte, error) { return json.Marshal(spec) }) // at the first request all operations are in it
	engine.GET("/openapi.json", func(c *gin.Context) {
		text, err := document()
		if err != nil {
			panic(err) // it is made of our own types
		}
		c.Data(http.StatusOK, "application/openapi+json", text)
	})
	engine.GET("/docs", func(c *gin.Context) { c.Data(http.StatusOK, "text/html; charset=utf-8", docsPage) })
	engine.GET("/docs/*asset", gin.WrapH(http.StripPrefix("/docs", statigz.FileServer(static.FS))))
}
