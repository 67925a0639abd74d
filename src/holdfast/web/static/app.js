// Where the pages' scripts begin. Every page works without them; they make it live and quick.

import { completeSearches } from "./complete.js";
import { copyOnClick } from "./copy.js";
import { openDialogs } from "./dialogs.js";
import { listenToKeys } from "./keys.js";
import { keepLive } from "./live.js";
import { keepTalking } from "./talk.js";
import { switchTheme } from "./theme.js";
import { useTimelines } from "./timeline.js";
import { tellTimes } from "./times.js";

document.documentElement.dataset.scripts = "";
tellTimes();
copyOnClick();
openDialogs();
switchTheme();
listenToKeys();
completeSearches();
useTimelines();
keepTalking();
keepLive();
