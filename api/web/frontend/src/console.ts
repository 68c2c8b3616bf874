// The console's script. Every page works without it; it adds live rows, keys, relative times,
// instant theme changes, copying and waterfalls of traces.
import htmx from "./htmx";
import "htmx-ext-sse";
import "idiomorph/htmx";
import { startChoosing } from "./choosing";
import { startCopying } from "./copying";
import { startBulk } from "./bulk";
import { startFeed } from "./feed";
import { startFilters } from "./filters";
import { startKeys } from "./keys";
import { startMenus } from "./menus";
import { startModals } from "./modals";
import { startPalette } from "./palette";
import { startTheme } from "./theme";
import { startTimes } from "./times";
import { startWatching } from "./watching";
import { startWaterfalls } from "./waterfall/waterfall";

startTheme();
startTimes();
startMenus();
startModals();
startChoosing();
startCopying();
startKeys();
startPalette();
startFeed(htmx);
startFilters();
startBulk();
startWaterfalls();
startWatching();
